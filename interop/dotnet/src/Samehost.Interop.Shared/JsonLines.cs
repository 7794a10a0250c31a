using System.Text.Json;
using System.Text.Json.Serialization;

namespace Samehost.Interop;

/// <summary>The line that a server prints on stdout when it accepts calls.</summary>
public sealed record ReadyLine(string Address, int Pid, string Implementation, string Version)
{
    /// <summary>The name of the event.</summary>
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "ready";

    /// <inheritdoc/>
    public override string ToString() => JsonSerializer.Serialize(this, JsonLines.Default.ReadyLine);
}

/// <summary>The result of a case. The detail is one line, and empty for a pass.</summary>
public sealed record CaseResult(string Case, string Result, string Detail, double Ms)
{
    /// <inheritdoc/>
    public override string ToString() => JsonSerializer.Serialize(this, JsonLines.Default.CaseResult);
}

/// <summary>Serializers that the compiler generates, because reflection would delay the first line.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ReadyLine))]
[JsonSerializable(typeof(CaseResult))]
internal sealed partial class JsonLines : JsonSerializerContext;
