using System.Text.Json.Serialization;

namespace Understory.Server.Wire;

/// <summary>OpenAI's error object.</summary>
public sealed record ApiErrorBody(ApiError Error) : IJsonBody
{
    JsonSerializerContext IJsonBody.Json => ErrorJson.Context;
}

public sealed record ApiError(
    string Message,
    string Type,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Param,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Code);

/// <summary>A request that cannot be served: answered with <see cref="Status"/> and the error object of its API.</summary>
/// <param name="status">HTTP status.</param>
/// <param name="message">What is wrong, and what to do about it.</param>
/// <param name="parameter">The field of the request that is to blame, if one is.</param>
/// <param name="code">A machine-readable reason, if there is one.</param>
public sealed class ApiException(int status, string message, string? parameter = null, string? code = null) : Exception(message)
{
    public int Status { get; } = status;

    /// <summary>The reason, else OpenAI's type of error.</summary>
    public string Reason { get; } = code ?? TypeOf(status);

    public string? Parameter { get; } = parameter;

    public string? Code { get; } = code;

    /// <summary>Anthropic's <c>error.details.error_code</c>, upon which its libraries act; null: none.</summary>
    public string? DetailCode { get; init; }

    /// <summary>Seconds after which the same request may succeed; null: it will not.</summary>
    public int? RetryAfter { get; init; }

    public ApiErrorBody Body => new(new ApiError(Message, TypeOf(Status), Parameter, Code));

    public static ApiException Invalid(string parameter, string message, string? code = null) => new(400, message, parameter, code);

    public static ApiException Unavailable(string message, string code, int retryAfter = 1) =>
        new(503, message, code: code) { RetryAfter = retryAfter };

    /// <summary>The error type that OpenAI gives with a status.</summary>
    public static string TypeOf(int status) => status switch
    {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };
}
