using Google.Protobuf;
using Grpc.Core;
using Grpc.Testing;

namespace Samehost.Interop.Server;

/// <summary>
/// The service grpc.testing.TestService, without UnimplementedCall, which no server may implement.
/// </summary>
internal sealed class InteropService(LoadReports reports) : TestService.TestServiceBase
{
    /// <summary>The longest message to send or receive: gRPC's default limit for received messages.</summary>
    public const int MaxMessageBytes = 4 * 1024 * 1024;

    private const string EchoInitial = "x-grpc-test-echo-initial";
    private const string EchoTrailing = "x-grpc-test-echo-trailing-bin";

    private static readonly WriteOptions Compressed = new();

    /// <summary>
    /// For every response without requested compression. An empty response must not be compressed: GZipStream writes
    /// nothing for it, and no other language accepts that as gzip (dotnet/runtime 66449).
    /// </summary>
    private static readonly WriteOptions Uncompressed = new(WriteFlags.NoCompress);

    /// <summary>The ID of this server process.</summary>
    private static readonly string ServerId =
        $"{Environment.MachineName}-{Environment.ProcessId}-{Guid.NewGuid():N}";

    /// <summary>Returns an empty response.</summary>
    public override Task<Empty> EmptyCall(Empty request, ServerCallContext context)
    {
        context.WriteOptions = Uncompressed;
        return Task.FromResult(new Empty());
    }

    /// <summary>Returns a payload, a status, metadata or a load report, as requested.</summary>
    public override async Task<SimpleResponse> UnaryCall(SimpleRequest request, ServerCallContext context)
    {
        RequestCompression.Check(context, request.ExpectCompressed);
        await EchoAsync(context);
        if (request.OrcaPerQueryReport is { } report)
        {
            context.ResponseTrailers.Add(LoadReport.Trailer, LoadReport.From(report).ToByteArray());
        }

        Refuse(request.ResponseStatus, request.ResponseType, [request.ResponseSize]);
        context.WriteOptions = Options(request.ResponseCompressed);
        return new SimpleResponse
        {
            Payload = Zeros(request.ResponseSize),
            ServerId = request.FillServerId ? ServerId : "",
            Hostname = Environment.MachineName,
        };
    }

    /// <summary>Returns the payload of the request, and lets proxies cache the response.</summary>
    public override async Task<SimpleResponse> CacheableUnaryCall(SimpleRequest request, ServerCallContext context)
    {
        await context.WriteResponseHeadersAsync(new Metadata { { "cache-control", "max-age=60, public" } });
        context.WriteOptions = Uncompressed;
        return new SimpleResponse { Payload = request.Payload };
    }

    /// <summary>Sends the responses that the request asks for.</summary>
    public override Task StreamingOutputCall(
        StreamingOutputCallRequest request,
        IServerStreamWriter<StreamingOutputCallResponse> responseStream,
        ServerCallContext context) => RespondAsync(request, responseStream, context);

    /// <summary>Returns the sum of the payload sizes.</summary>
    public override async Task<StreamingInputCallResponse> StreamingInputCall(
        IAsyncStreamReader<StreamingInputCallRequest> requestStream, ServerCallContext context)
    {
        var size = 0;
        await foreach (var request in requestStream.ReadAllAsync(context.CancellationToken))
        {
            RequestCompression.Check(context, request.ExpectCompressed);
            size += request.Payload?.Body.Length ?? 0;
        }

        context.WriteOptions = Uncompressed; // a sum of 0 is an empty message
        return new StreamingInputCallResponse { AggregatedPayloadSize = size };
    }

    /// <summary>Answers each request as it arrives.</summary>
    public override async Task FullDuplexCall(
        IAsyncStreamReader<StreamingOutputCallRequest> requestStream,
        IServerStreamWriter<StreamingOutputCallResponse> responseStream,
        ServerCallContext context)
    {
        await EchoAsync(context);
        var hasTurn = false;
        try
        {
            await foreach (var request in requestStream.ReadAllAsync(context.CancellationToken))
            {
                if (request.OrcaOobReport is { } report)
                {
                    if (!hasTurn)
                    {
                        await reports.Turn.WaitAsync(context.CancellationToken);
                        hasTurn = true;
                    }

                    reports.Current = LoadReport.From(report);
                }

                await RespondAsync(request, responseStream, context);
            }
        }
        finally
        {
            if (hasTurn)
            {
                reports.Turn.Release();
            }
        }
    }

    /// <summary>Answers the requests after all have arrived.</summary>
    public override async Task HalfDuplexCall(
        IAsyncStreamReader<StreamingOutputCallRequest> requestStream,
        IServerStreamWriter<StreamingOutputCallResponse> responseStream,
        ServerCallContext context)
    {
        List<StreamingOutputCallRequest> requests = [];
        await foreach (var request in requestStream.ReadAllAsync(context.CancellationToken))
        {
            requests.Add(request);
        }

        foreach (var request in requests)
        {
            await RespondAsync(request, responseStream, context);
        }
    }

    private static async Task RespondAsync(
        StreamingOutputCallRequest request,
        IServerStreamWriter<StreamingOutputCallResponse> responseStream,
        ServerCallContext context)
    {
        Refuse(request.ResponseStatus, request.ResponseType, request.ResponseParameters.Select(each => each.Size));
        foreach (var parameters in request.ResponseParameters)
        {
            await Task.Delay(TimeSpan.FromMicroseconds(Math.Max(0, parameters.IntervalUs)), context.CancellationToken);
            responseStream.WriteOptions = Options(parameters.Compressed);
            await responseStream.WriteAsync(new StreamingOutputCallResponse
            {
                Payload = Zeros(parameters.Size),
                PeerSocketAddress = parameters.FillPeerSocketAddress?.Value is true ? context.Peer : "",
            });
        }
    }

    /// <summary>Returns the echo metadata of the request, one entry in the headers and one in the trailers.</summary>
    private static async Task EchoAsync(ServerCallContext context)
    {
        foreach (var entry in context.RequestHeaders.GetAll(EchoTrailing))
        {
            context.ResponseTrailers.Add(entry);
        }

        var initial = new Metadata();
        foreach (var entry in context.RequestHeaders.GetAll(EchoInitial))
        {
            initial.Add(entry);
        }

        if (initial.Count > 0)
        {
            await context.WriteResponseHeadersAsync(initial);
        }
    }

    /// <summary>Throws if the request asks for a status, or is invalid.</summary>
    private static void Refuse(EchoStatus? status, PayloadType type, IEnumerable<int> sizes)
    {
        if (status is { Code: not 0 })
        {
            var code = Enum.IsDefined((StatusCode)status.Code) ? (StatusCode)status.Code : StatusCode.Unknown;
            throw new RpcException(new Status(code, status.Message));
        }

        if (type != PayloadType.Compressable)
        {
            throw Invalid($"invalid response_type: {(int)type}; use 0");
        }

        foreach (var size in sizes)
        {
            if (size is < 0 or > MaxMessageBytes)
            {
                throw Invalid($"invalid size: {size} bytes; use 0 to {MaxMessageBytes}");
            }
        }
    }

    private static RpcException Invalid(string fault) => new(new Status(StatusCode.InvalidArgument, fault));

    private static WriteOptions Options(BoolValue? compressed) =>
        compressed?.Value is true ? Compressed : Uncompressed;

    private static Payload Zeros(int size) => new() { Body = UnsafeByteOperations.UnsafeWrap(new byte[size]) };
}
