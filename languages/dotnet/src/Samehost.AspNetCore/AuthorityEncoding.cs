using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

namespace Samehost.AspNetCore;

/// <summary>
/// Decodes the header <c>:authority</c> of clients that send the path of the socket in it, as C-core does for
/// <c>unix:</c> targets.
/// </summary>
/// <remarks>
/// Kestrel refuses such a request with PROTOCOL_ERROR, because a host name has no <c>%</c> and no <c>/</c> (RFC 3986,
/// section 3.2.2; see dotnet/aspnetcore#18522). Therefore each character of a path that a host name cannot have becomes
/// <c>-</c>. The value names no host, so nothing is lost.
/// </remarks>
internal sealed class AuthorityEncoding()
    : UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true) // as Kestrel's default
{
    private static readonly SearchValues<char> HostCharacters =
        SearchValues.Create("-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");

    /// <inheritdoc/>
    public override unsafe int GetChars(byte* bytes, int byteCount, char* chars, int charCount)
    {
        var count = base.GetChars(bytes, byteCount, chars, charCount);
        var authority = new Span<char>(chars, count);
        if (authority.ContainsAny('%', '/'))
        {
            authority.ReplaceAnyExcept(HostCharacters, '-');
        }

        return count;
    }

    /// <summary>Makes Kestrel use the encoding, in addition to those that the application has set.</summary>
    internal sealed class Setup : IPostConfigureOptions<KestrelServerOptions>
    {
        public void PostConfigure(string? name, KestrelServerOptions options)
        {
            var authority = new AuthorityEncoding();
            var other = options.RequestHeaderEncodingSelector;
            options.RequestHeaderEncodingSelector = header => header == ":authority" ? authority : other(header);
        }
    }
}
