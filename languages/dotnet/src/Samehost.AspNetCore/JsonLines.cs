using System.Text.Json;
using System.Text.Json.Serialization;

namespace Samehost.AspNetCore;

/// <summary>Who holds the lock of a path.</summary>
internal sealed record LockOwner(int Pid, string Host, string Implementation)
{
    /// <summary>Reads what a server wrote; null where no server did.</summary>
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

/// <summary>What two servers say to each other when one takes over from the other.</summary>
internal sealed record TakeoverMessage(string Event)
{
    /// <summary>The lock is free for the successor.</summary>
    public static TakeoverMessage Released { get; } = new("released");

    /// <summary>The path is the successor's.</summary>
    public static TakeoverMessage Published { get; } = new("published");

    /// <summary>Reads a line; null where it is no message.</summary>
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

    /// <summary>The line as it is sent.</summary>
    public byte[] ToBytes() => [.. JsonSerializer.SerializeToUtf8Bytes(this, JsonLines.Default.TakeoverMessage), (byte)'\n'];
}

/// <summary>Serializers made when this is compiled, so that no line waits for reflection.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    RespectRequiredConstructorParameters = true,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(LockOwner))]
[JsonSerializable(typeof(TakeoverMessage))]
internal sealed partial class JsonLines : JsonSerializerContext;
