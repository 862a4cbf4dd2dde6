# syntax=docker/dockerfile:1
# One image for CPU and CUDA: kernels are part of the program, and the driver comes from the host (docker run --gpus all).
#   docker build -t understory .
#   docker run -p 127.0.0.1:8080:8080 -e UNDERSTORY_API_KEY=... understory
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /source
COPY . .
RUN docker/build-image.sh /image

FROM mcr.microsoft.com/dotnet/aspnet:10.0
COPY --from=build /image /
# A named volume over it takes its owner: "pull" can write there.
COPY --from=build --chown=1654:1654 /image/models /models
# Beyond loopback it refuses to start without a key: give UNDERSTORY_API_KEY, UNDERSTORY_API_KEY_FILE or UNDERSTORY_ALLOW_ANONYMOUS=true.
ENV UNDERSTORY_HOST=0.0.0.0 \
    UNDERSTORY_PORT=8080 \
    HF_HOME=/models \
    DOTNET_EnableDiagnostics=0 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /models
VOLUME /models
EXPOSE 8080
# The user "app" of the base image, by number: orchestrators can then see that it is not root.
USER 1654:1654
# A large model takes its time to load; the healthcheck says "loading" until then.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10m --start-interval=2s --retries=3 CMD ["/app/understory", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/app/understory"]
CMD ["serve"]
