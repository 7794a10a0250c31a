using System.IO.Compression;
using Grpc.Net.Compression;

namespace Samehost.Interop;

/// <summary>
/// Reports each compressed message, because grpc-dotnet does not tell the application. On both ends, it requests a
/// stream from the provider for each message with the compressed flag, before it delivers the message.
/// </summary>
public sealed class ObservedCompressionProvider(ICompressionProvider provider, Action onDecompressing)
    : ICompressionProvider
{
    /// <inheritdoc/>
    public string EncodingName => provider.EncodingName;

    /// <summary>Wraps all algorithms of the library.</summary>
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
