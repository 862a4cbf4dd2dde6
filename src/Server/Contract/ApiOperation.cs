using Understory.Server.Wire;

namespace Understory.Server.Contract;

/// <summary>One thing that can be asked over HTTP, as the OpenAPI document describes it.</summary>
/// <param name="Method">GET operations answer HEAD too.</param>
/// <param name="Route">ASP.NET's pattern, such as <c>/v1/models/{**name}</c>.</param>
/// <param name="Id">A name in camel case, for generators of clients.</param>
public sealed record ApiOperation(string Method, string Route, string Id, string Summary)
{
    /// <summary>Fields of the request's JSON object; null: no body.</summary>
    public IReadOnlyList<Parameter>? Body { get; init; }

    /// <summary>The record that a 200 answer is written from; null: see <see cref="MediaType"/>.</summary>
    public Type? Answer { get; init; }

    /// <summary>The record of a 200 answer to a request with the header <c>anthropic-version</c>; null: the same.</summary>
    public Type? AnswersAnthropic { get; init; }

    /// <summary>The answer's type where it is not a record's JSON.</summary>
    public string MediaType { get; init; } = "application/json";

    /// <summary>The records that the events of a stream are written from; none: it does not stream.</summary>
    public IReadOnlyList<Type> Events { get; init; } = [];

    /// <summary>The record that errors are written from, where it is not the one of all others.</summary>
    public Type? Error { get; init; }

    /// <summary>Statuses beside 200 whose body is <see cref="Answer"/>'s, with their meaning.</summary>
    public IReadOnlyDictionary<int, string> AlsoAnswers { get; init; } = new Dictionary<int, string>();

    /// <summary>Statuses with the error object, beside those that every operation may have.</summary>
    public IReadOnlyList<int> Errors { get; init; } = [];

    /// <summary>False: it is there to say why there is nothing.</summary>
    public bool Succeeds { get; init; } = true;

    /// <summary>Needs no key even where the server has some.</summary>
    public bool Open { get; init; }

    /// <summary>The errors of operations that read a body.</summary>
    public static IReadOnlyList<int> BodyErrors { get; } =
    [
        StatusCodes.Status400BadRequest, StatusCodes.Status404NotFound, StatusCodes.Status413PayloadTooLarge,
        StatusCodes.Status415UnsupportedMediaType,
        StatusCodes.Status503ServiceUnavailable,
    ];

    /// <summary>The errors of operations that wait for the decoding thread.</summary>
    public static IReadOnlyList<int> QueueErrors { get; } =
        [.. BodyErrors, StatusCodes.Status429TooManyRequests, StatusCodes.Status504GatewayTimeout];
}
