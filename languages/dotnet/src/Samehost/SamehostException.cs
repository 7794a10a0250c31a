namespace Samehost;

/// <summary>What went wrong with a socket, for code that branches on it.</summary>
public enum SamehostError
{
    /// <summary>The operating system refused an operation; the inner exception may say more.</summary>
    System,

    /// <summary>Another server has the path, or the path cannot be taken over from it.</summary>
    InUse,

    /// <summary>The folder of the socket does not exist.</summary>
    NoFolder,

    /// <summary>Every user may replace the socket in its folder.</summary>
    UnsafeFolder,

    /// <summary>The lock file has other content, is not a regular file, or another user may lock it.</summary>
    LockFile,

    /// <summary>Another kind of file is at the path.</summary>
    NotASocket,

    /// <summary>Nobody listens: there is no socket, or its server is gone. A server that starts later cures it.</summary>
    NoServer,

    /// <summary>A server listens that does not speak HTTP/2 without TLS.</summary>
    NotGrpc,

    /// <summary>This process may not connect to the socket.</summary>
    AccessDenied,
}

/// <summary>A socket cannot be served or reached. The message is one line with the path, the cause and the remedy.</summary>
public sealed class SamehostException : IOException
{
    internal SamehostException(SamehostError error, string message, Exception? innerException = null)
        : base(message, innerException) => Error = error;

    /// <summary>What went wrong.</summary>
    public SamehostError Error { get; }

    internal static SamehostException CannotConnect(
        SamehostError error, UnixSocketAddress address, string reason, Exception? innerException = null) =>
        new(error, $"cannot connect to {address.Path}: {reason}", innerException);

    internal static SamehostException CannotListen(
        SamehostError error, UnixSocketAddress address, string reason, Exception? innerException = null) =>
        new(error, $"cannot listen on {address.Path}: {reason}", innerException);

    /// <summary>Another server keeps the path.</summary>
    internal static SamehostException CannotTakeOver(
        UnixSocketAddress address, string reason, Exception? innerException = null) =>
        new(SamehostError.InUse, $"cannot take over {address.Path}: {reason}", innerException);
}
