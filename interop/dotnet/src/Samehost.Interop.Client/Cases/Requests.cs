using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Testing;
using Xds.Service.Orca.V3;

namespace Samehost.Interop.Client.Cases;

/// <summary>The requests of the official cases (grpc/grpc doc/interop-test-descriptions.md).</summary>
internal static class Requests
{
    public const int LargeRequestBytes = 271828;
    public const int LargeResponseBytes = 314159;

    public static readonly int[] RequestBytes = [27182, 8, 1828, 45904];
    public static readonly int[] ResponseBytes = [31415, 9, 2653, 58979];

    public static readonly int[] CompressedRequestBytes = [27182, 45904];

    /// <summary>The two responses of server_compressed_streaming, and whether they must be compressed.</summary>
    public static readonly (int Size, bool Compressed)[] CompressedResponses = [(31415, true), (92653, false)];

    public static readonly EchoStatus Status = new() { Code = 2, Message = "test status message" };

    public static readonly EchoStatus SpecialStatus = new()
    {
        Code = 2,
        Message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n",
    };

    public static readonly TestOrcaReport PerCallReport = new()
    {
        CpuUtilization = 0.8210,
        MemoryUtilization = 0.5847,
        RequestCost = { ["cost"] = 3456.32 },
        Utilization = { ["util"] = 0.30499 },
    };

    public static readonly TestOrcaReport[] OutOfBandReports =
    [
        new() { CpuUtilization = 0.8210, MemoryUtilization = 0.5847, Utilization = { ["util"] = 0.30499 } },
        new() { CpuUtilization = 0.29309, MemoryUtilization = 0.2, Utilization = { ["util"] = 0.2039 } },
    ];

    public static OrcaLoadReportRequest Listen => new()
    {
        ReportInterval = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(100)),
    };

    /// <summary>Returns a payload of zeros.</summary>
    public static Payload Zeros(int size) => new() { Body = UnsafeByteOperations.UnsafeWrap(new byte[size]) };

    /// <summary>Returns the request of large_unary.</summary>
    public static SimpleRequest Large() => new()
    {
        ResponseSize = LargeResponseBytes,
        Payload = Zeros(LargeRequestBytes),
    };

    /// <summary>Returns a large request that tells the server whether to expect compression.</summary>
    public static SimpleRequest LargeExpecting(bool compressed)
    {
        var request = Large();
        request.ExpectCompressed = new() { Value = compressed };
        return request;
    }

    /// <summary>Returns a large request for a response with or without compression.</summary>
    public static SimpleRequest LargeResponse(bool compressed)
    {
        var request = Large();
        request.ResponseCompressed = new() { Value = compressed };
        return request;
    }

    public static StreamingInputCallRequest Input(int size) => new() { Payload = Zeros(size) };

    /// <summary>Returns an input that tells the server whether to expect compression.</summary>
    public static StreamingInputCallRequest InputExpecting(int size, bool compressed) => new()
    {
        Payload = Zeros(size),
        ExpectCompressed = new() { Value = compressed },
    };

    /// <summary>Returns a request for responses of these sizes.</summary>
    public static StreamingOutputCallRequest Output(params IEnumerable<int> sizes) => new()
    {
        ResponseParameters = { sizes.Select(size => new ResponseParameters { Size = size }) },
    };

    /// <summary>Returns a request with a payload, for one response.</summary>
    public static StreamingOutputCallRequest OutputWithPayload(int requestBytes, int responseBytes)
    {
        var request = Output(responseBytes);
        request.Payload = Zeros(requestBytes);
        return request;
    }

    /// <summary>Returns the request of server_compressed_streaming.</summary>
    public static StreamingOutputCallRequest CompressedOutput() => new()
    {
        ResponseParameters =
        {
            CompressedResponses.Select(each => new ResponseParameters
            {
                Size = each.Size,
                Compressed = new() { Value = each.Compressed },
            }),
        },
    };
}
