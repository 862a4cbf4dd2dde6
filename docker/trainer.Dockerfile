# syntax=docker/dockerfile:1
# The trainer, for systems on which libtorch does not load; .NET's image is one on which it does.
#   docker compose --profile trainer run --rm trainer draft --target NAME.gguf --minutes 60
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /source
COPY . .
RUN dotnet publish src/Training -c Release -o /trainer -nologo -clp:ErrorsOnly

FROM mcr.microsoft.com/dotnet/aspnet:10.0
COPY --from=build /trainer /app
# libtorch's allocations are large and short: without the first three, pages go back to the system and come again at every step.
ENV MALLOC_MMAP_MAX_=0 \
    MALLOC_TRIM_THRESHOLD_=8589934592 \
    MALLOC_TOP_PAD_=268435456 \
    XDG_CACHE_HOME=/models/.cache \
    DOTNET_EnableDiagnostics=0
WORKDIR /models
USER 1654:1654
ENTRYPOINT ["dotnet", "/app/understory-train.dll"]
CMD ["--help"]
