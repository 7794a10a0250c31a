using Google.Protobuf;
using Grpc.Core;
using Grpc.Testing;

namespace Samehost.Interop.Client.Cases;

/// <summary>The failure of a case. The message has the expected and the actual value in one line.</summary>
internal sealed class CaseException(string message) : Exception(message);

/// <summary>The assertions of the official cases.</summary>
internal static class Checks
{
    /// <summary>Fails unless two values are equal.</summary>
    public static void Equal<T>(string what, T expected, T got)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, got))
        {
            throw new CaseException($"{what}: expected {Shown(expected)}, got {Shown(got)}");
        }
    }

    /// <summary>Fails unless two sequences are equal.</summary>
    public static void EqualAll<T>(string what, IReadOnlyCollection<T> expected, IReadOnlyCollection<T> got)
    {
        if (!expected.SequenceEqual(got))
        {
            throw new CaseException($"{what}: expected [{string.Join(", ", expected)}], got [{string.Join(", ", got)}]");
        }
    }

    /// <summary>Fails unless a payload has the right type, size and contents.</summary>
    public static void Zeros(string what, int size, Payload? got)
    {
        Equal($"payload type of {what}", PayloadType.Compressable, got?.Type ?? PayloadType.Compressable);
        Equal($"payload size of {what}", size, got?.Body.Length ?? 0);
        if (got is not null && got.Body.Span.ContainsAnyExcept((byte)0))
        {
            throw new CaseException($"payload of {what}: expected {size} zeros, got other bytes");
        }
    }

    /// <summary>Fails unless a response is the one of large_unary.</summary>
    public static void Large(SimpleResponse response) =>
        Zeros("the response", Requests.LargeResponseBytes, response.Payload);

    /// <summary>Fails unless a stream has exactly the responses of these sizes, in order.</summary>
    public static void Outputs(IReadOnlyCollection<int> sizes, IReadOnlyCollection<StreamingOutputCallResponse> responses)
    {
        EqualAll("payload sizes of the responses", sizes, [.. responses.Select(each => each.Payload?.Body.Length ?? 0)]);
        foreach (var (response, size) in responses.Zip(sizes))
        {
            Zeros($"the response of {size} bytes", size, response.Payload);
        }
    }

    /// <summary>Fails unless a stream has another response, of this size.</summary>
    public static async Task NextAsync(int size, IAsyncStreamReader<StreamingOutputCallResponse> responses)
    {
        if (!await responses.MoveNext(CancellationToken.None))
        {
            throw new CaseException(
                $"next response of the stream: expected {size} bytes, got the end of the stream");
        }

        Zeros("the response", size, responses.Current.Payload);
    }

    /// <summary>Fails if a stream has another response.</summary>
    public static async Task EndAsync(IAsyncStreamReader<StreamingOutputCallResponse> responses)
    {
        if (await responses.MoveNext(CancellationToken.None))
        {
            var size = responses.Current.Payload?.Body.Length ?? 0;
            throw new CaseException($"end of the stream: expected no response, got {size} bytes");
        }
    }

    /// <summary>Fails unless metadata has a key exactly once, with this value.</summary>
    public static void Metadatum(string what, Metadata.Entry expected, Metadata got)
    {
        var found = got.GetAll(expected.Key).ToList();
        Equal($"number of {expected.Key} in {what}", 1, found.Count);
        if (expected.IsBinary)
        {
            Equal($"{expected.Key} in {what}",
                Convert.ToHexStringLower(expected.ValueBytes), Convert.ToHexStringLower(found[0].ValueBytes));
        }
        else
        {
            Equal($"{expected.Key} in {what}", expected.Value, found[0].Value);
        }
    }

    /// <summary>Fails unless a call ends with this status and, if given, this message.</summary>
    public static async Task StatusAsync(StatusCode code, Func<Task> call, string? message = null)
    {
        try
        {
            await call();
        }
        catch (RpcException error)
        {
            Equal("status code", Server.NameOf(code), Server.NameOf(error.StatusCode));
            Equal("status message", message ?? error.Status.Detail, error.Status.Detail);
            return;
        }

        throw new CaseException($"status code: expected {Server.NameOf(code)}, got OK");
    }

    /// <summary>Fails unless a call ends with the status that it requested.</summary>
    public static Task EchoedStatusAsync(EchoStatus status, Func<Task> call) =>
        StatusAsync((StatusCode)status.Code, call, status.Message);

    private static string? Shown<T>(T value) => value is string text ? $"'{text}'" : value?.ToString();
}
