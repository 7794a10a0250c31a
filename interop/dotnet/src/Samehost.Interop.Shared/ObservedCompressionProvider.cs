using System.IO.Compression;
using Grpc.Net.Compression;

namespace Samehost.Interop;

/// <summary>
/// Tells of each message that came compressed, which neither end's library tells the application: both ask a provider
/// for a stream to decompress a message exactly where its frame has the compressed flag, before they hand it over.
/// </summary>
public sealed class ObservedCompressionProvider(ICompressionProvider provider, Action onDecompressing)
    : ICompressionProvider
{
    /// <inheritdoc/>
    public string EncodingName => provider.EncodingName;

    /// <summary>The algorithms that the library has, observed.</summary>
    public static IList<ICompressionProvider> All(Action onDecompressing) =>
    [
        new ObservedCompressionProvider(new GzipCompressionProvider(CompressionLevel.Fastest), onDecompressing),
        new ObservedCompressionProvider(new DeflateCompressionProvider(CompressionLevel.Fastest), onDecompressing),
    ];

    /// <inheritdoc/>
    public Stream CreateCompressionStream(Stream stream, CompressionLevel? compressionLevel) =>
        provider.CreateCompressionStream(stream, compressionLevel);

    /// <inheritdoc/>
    public Stream CreateDecompressionStream(Stream stream)
    {
        onDecompressing();
        return provider.CreateDecompressionStream(stream);
    }
}
