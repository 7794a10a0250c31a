using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Samehost;

/// <summary>The error numbers of Linux that the library handles, and their descriptions.</summary>
internal static class Errno
{
    public const int NoSuchFile = 2; // ENOENT
    public const int WouldBlock = 11; // EAGAIN
    public const int AccessDenied = 13; // EACCES
    public const int NotAFolder = 20; // ENOTDIR
    public const int IsAFolder = 21; // EISDIR
    public const int IsALink = 40; // ELOOP

    /// <summary>Describes an error number as the system does, in lower case: "permission denied".</summary>
    public static string Describe(int errno)
    {
        var message = Marshal.GetPInvokeErrorMessage(errno);
        return char.ToLowerInvariant(message[0]) + message[1..];
    }

    /// <summary>Describes the error of the last native call on this thread.</summary>
    public static string DescribeLast() => Describe(Marshal.GetLastPInvokeError());

    /// <summary>Describes the system error behind an exception, without the paths that .NET adds to it.</summary>
    /// <remarks>
    /// .NET keeps the error number in <see cref="Exception.HResult"/>, where its own codes are negative.
    /// </remarks>
    public static string Describe(Exception error) => error switch
    {
        // .NET reports ENOENT of a socket as AddressNotAvailable.
        SocketException { SocketErrorCode: SocketError.AddressNotAvailable } => Describe(NoSuchFile),
        FileNotFoundException or DirectoryNotFoundException => Describe(NoSuchFile),
        SocketException socketError => Describe(socketError.NativeErrorCode),
        UnauthorizedAccessException { InnerException: { } inner } => Describe(inner),
        IOException { HResult: > 0 } => Describe(error.HResult),
        _ => error.Message,
    };
}
