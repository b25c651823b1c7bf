# The OCI image of the service: the static binary and nothing else. No shell, no libc, no user database; runs as 65532 on a
# read-only root. Same inputs, same bytes: times are the epoch's, and the revision is in the configuration, not in a layer.
{
  lib,
  dockerTools,
  app,
  revision,
}:
let
  program = "/bin/aiclipx-app";
  second = 1000000000; # the image format counts nanoseconds
in
dockerTools.buildLayeredImage {
  name = "aiclipx-app";
  tag = app.version;
  contents = [ app ];
  created = "1970-01-01T00:00:01Z";
  config = {
    Entrypoint = [ program ];
    User = "65532:65532";
    WorkingDir = "/";
    Env = [
      "APP_LISTEN=0.0.0.0:8080"
      "APP_REVISION=${revision}"
    ];
    ExposedPorts."8080/tcp" = { };
    StopSignal = "SIGTERM";
    Healthcheck = {
      Test = [
        "CMD"
        program
        "healthcheck"
      ];
      Interval = 10 * second;
      Timeout = 3 * second;
      StartPeriod = 2 * second;
      Retries = 3;
    };
    Labels = {
      "org.opencontainers.image.title" = "aiclipx-app";
      "org.opencontainers.image.description" = "The service of aiclipx, an observability stack that proves itself";
      "org.opencontainers.image.version" = app.version;
      "org.opencontainers.image.revision" = revision;
      "org.opencontainers.image.licenses" = app.meta.license.spdxId or lib.licenses.asl20.spdxId;
    };
  };
}
