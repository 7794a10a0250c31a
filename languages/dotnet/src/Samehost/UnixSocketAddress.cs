using System.Text;

namespace Samehost;

/// <summary>
/// Where a server listens, as PROTOCOL.md has it: an absolute path of at most 107 bytes, written <c>unix:/absolute/path</c>.
/// </summary>
public sealed record UnixSocketAddress
{
    /// <summary>The longest path in bytes: <c>sun_path</c> of unix(7) has 108, one of them the final NUL.</summary>
    public const int MaxPathBytes = 107;

    private const string Scheme = "unix:";

    /// <summary>
    /// A URI has these for an escape, a query, a fragment and, in gRPC, the next of several addresses; libraries differ in
    /// whether they undo it (grpc/grpc doc/naming.md), so a path with one of them would not be one path. A replacement
    /// character stands for bytes that were not UTF-8.
    /// </summary>
    private const string Reserved = "%?#,\uFFFD";

    private UnixSocketAddress(string path) => Path = path;

    /// <summary>The absolute path of the socket.</summary>
    public string Path { get; }

    /// <summary>The folder that the socket is in.</summary>
    internal string Folder => System.IO.Path.GetDirectoryName(Path)!;

    /// <summary>The address as every gRPC library takes it for a target.</summary>
    public override string ToString() => Scheme + Path;

    /// <summary>Reads <c>unix:/absolute/path</c>, <c>unix:///absolute/path</c> or a plain absolute path.</summary>
    /// <exception cref="FormatException">The text is no address; the message says why, with the remedy.</exception>
    public static UnixSocketAddress Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var path = text.StartsWith(Scheme, StringComparison.Ordinal) ? text[Scheme.Length..] : text;
        if (path.StartsWith("///", StringComparison.Ordinal))
        {
            path = path[2..];
        }

        return FaultOf(path) is { } fault
            ? throw new FormatException($"invalid socket address '{text}': {fault}")
            : new UnixSocketAddress(path);
    }

    private static string? FaultOf(string path)
    {
        if (path.Length == 0)
        {
            return "the path is empty; use unix:/absolute/path";
        }

        if (path.StartsWith("//", StringComparison.Ordinal))
        {
            return "a host follows two slashes; use unix:/absolute/path or unix:///absolute/path";
        }

        if (path[0] != '/')
        {
            return "the path is not absolute; use unix:/absolute/path";
        }

        if (path[(path.LastIndexOf('/') + 1)..] is "" or "." or "..")
        {
            return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock";
        }

        foreach (var character in path)
        {
            if (Reserved.Contains(character) || char.IsControl(character))
            {
                return $"gRPC libraries read U+{(int)character:X4} '{character}' in a path differently; "
                    + "use a path without it";
            }
        }

        var size = Encoding.UTF8.GetByteCount(path);
        return size > MaxPathBytes
            ? $"the path has {size} bytes, and a socket can have {MaxPathBytes}; use a shorter path"
            : null;
    }
}
