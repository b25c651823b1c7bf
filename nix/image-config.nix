# What the service's image says of itself, by the Docker image format's names. One text for two makers: nix/image.nix uses it,
# and the Containerfile's image is compared with it field by field (crates/tool/tests/containers/image.rs). It needs no nixpkgs.
{ version, revision }:
let
  program = "/bin/aiclipx-app";
  second = 1000000000; # the image format counts nanoseconds
in
{
  Entrypoint = [ program ];
  User = "65532:65532";
  WorkingDir = "/";
  Env = [
    "APP_LISTEN=0.0.0.0:8080"
    # For the container's network: it is not exposed.
    "APP_ADMIN_LISTEN=0.0.0.0:8081"
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
    "org.opencontainers.image.description" =
      "The service of aiclipx, an observability stack that proves itself";
    "org.opencontainers.image.version" = version;
    "org.opencontainers.image.revision" = revision;
    "org.opencontainers.image.licenses" = "Apache-2.0";
  };
}
