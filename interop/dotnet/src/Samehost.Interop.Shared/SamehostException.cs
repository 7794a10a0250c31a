namespace Samehost.Interop;

/// <summary>Something that went wrong outside this program; the message is one line with the path and the remedy.</summary>
public class SamehostException(string message, Exception? innerException = null)
    : IOException(message, innerException);
