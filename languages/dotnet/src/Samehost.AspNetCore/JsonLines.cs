using System.Text.Json;
using System.Text.Json.Serialization;

namespace Samehost.AspNetCore;

/// <summary>The content of a lock file: the server that holds the lock.</summary>
internal sealed record LockOwner(int Pid, string Host, string Implementation)
{
    /// <summary>Parses the content of a lock file. Returns null if no server wrote it.</summary>
    public static LockOwner? Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, JsonLines.Default.LockOwner);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => JsonSerializer.Serialize(this, JsonLines.Default.LockOwner);
}

/// <summary>A message between two servers during a takeover.</summary>
internal sealed record TakeoverMessage(string Event)
{
    /// <summary>The server has released the lock for its successor.</summary>
    public static TakeoverMessage Released { get; } = new("released");

    /// <summary>The successor has published its socket at the path.</summary>
    public static TakeoverMessage Published { get; } = new("published");

    /// <summary>Parses a line. Returns null if it is not a message.</summary>
    public static TakeoverMessage? Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, JsonLines.Default.TakeoverMessage);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Returns the line to send.</summary>
    public byte[] ToBytes() => [.. JsonSerializer.SerializeToUtf8Bytes(this, JsonLines.Default.TakeoverMessage), (byte)'\n'];
}

/// <summary>Serializers that the compiler generates, because reflection would delay the first line.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    RespectRequiredConstructorParameters = true,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(LockOwner))]
[JsonSerializable(typeof(TakeoverMessage))]
internal sealed partial class JsonLines : JsonSerializerContext;
