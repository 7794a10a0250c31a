namespace Samehost;

/// <summary>The kinds of <see cref="SamehostException"/>.</summary>
public enum SamehostError
{
    /// <summary>The operating system reported another error. The inner exception may have details.</summary>
    System,

    /// <summary>Another server uses the path, or the path cannot be taken over from it.</summary>
    InUse,

    /// <summary>The folder of the socket does not exist.</summary>
    NoFolder,

    /// <summary>Every user can replace the socket in its folder.</summary>
    UnsafeFolder,

    /// <summary>The lock file has other content, is not a regular file, or another user can lock it.</summary>
    LockFile,

    /// <summary>A file that is not a socket exists at the path.</summary>
    NotASocket,

    /// <summary>
    /// No server listens: there is no socket, or its server was killed. Retry until the server has started.
    /// </summary>
    NoServer,

    /// <summary>The server does not speak HTTP/2 without TLS.</summary>
    NotGrpc,

    /// <summary>This process does not have permission to connect to the socket.</summary>
    AccessDenied,
}

/// <summary>
/// The exception for a failure to listen on a socket or to connect to it. The message is one line with the path, the
/// cause and the remedy.
/// </summary>
public sealed class SamehostException : IOException
{
    internal SamehostException(SamehostError error, string message, Exception? innerException = null)
        : base(message, innerException) => Error = error;

    /// <summary>The kind of the error.</summary>
    public SamehostError Error { get; }

    internal static SamehostException CannotConnect(
        SamehostError error, UnixSocketAddress address, string reason, Exception? innerException = null) =>
        new(error, $"cannot connect to {address.Path}: {reason}", innerException);

    internal static SamehostException CannotListen(
        SamehostError error, UnixSocketAddress address, string reason, Exception? innerException = null) =>
        new(error, $"cannot listen on {address.Path}: {reason}", innerException);

    internal static SamehostException CannotTakeOver(
        UnixSocketAddress address, string reason, Exception? innerException = null) =>
        new(SamehostError.InUse, $"cannot take over {address.Path}: {reason}", innerException);
}
