using System.Text.Json;
using System.Text.Json.Serialization;

namespace Samehost.Interop;

/// <summary>What a server says on stdout when calls succeed.</summary>
public sealed record ReadyLine(string Address, int Pid, string Implementation, string Version)
{
    /// <summary>What has happened.</summary>
    [JsonPropertyOrder(-1)]
    public string Event { get; } = "ready";

    /// <inheritdoc/>
    public override string ToString() => JsonSerializer.Serialize(this, JsonLines.Default.ReadyLine);
}

/// <summary>How a case went: the detail is one line, empty for a pass.</summary>
public sealed record CaseResult(string Case, string Result, string Detail, double Ms)
{
    /// <inheritdoc/>
    public override string ToString() => JsonSerializer.Serialize(this, JsonLines.Default.CaseResult);
}

/// <summary>Serializers made when this is compiled, so that the first line does not wait for reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ReadyLine))]
[JsonSerializable(typeof(CaseResult))]
internal sealed partial class JsonLines : JsonSerializerContext;
