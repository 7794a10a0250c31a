using System.Text;

namespace Samehost;

/// <summary>
/// The address of a Unix domain socket: an absolute path of at most 107 bytes, written <c>unix:/absolute/path</c>.
/// </summary>
public sealed record UnixSocketAddress
{
    /// <summary>The longest path in bytes. <c>sun_path</c> of unix(7) has 108 bytes, including a final NUL.</summary>
    public const int MaxPathBytes = 107;

    private const string Scheme = "unix:";

    /// <summary>
    /// In a URI, these characters start an escape, a query, a fragment and, in gRPC, another address. gRPC libraries
    /// differ in how they read them (grpc/grpc doc/naming.md), so an address with one of them would not name one path.
    /// The replacement character results from bytes that are not UTF-8.
    /// </summary>
    private const string Reserved = "%?#,\uFFFD";

    private UnixSocketAddress(string path) => Path = path;

    /// <summary>The absolute path of the socket.</summary>
    public string Path { get; }

    /// <summary>The folder of the socket.</summary>
    internal string Folder => System.IO.Path.GetDirectoryName(Path)!;

    /// <summary>Returns the address in the form that every gRPC library accepts as a target.</summary>
    public override string ToString() => Scheme + Path;

    /// <summary>Parses <c>unix:/absolute/path</c>, <c>unix:///absolute/path</c> or a plain absolute path.</summary>
    /// <exception cref="FormatException">The address is invalid. The message has the cause and the remedy.</exception>
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
