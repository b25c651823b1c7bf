# Images of what stands around the service, from the flake's own packages: for compose.yaml in place of the upstream images.
# They keep the upstream images' contract as far as compose.yaml uses it: program, user, where data lies. The receiver, which
# upstream doesn't have, is the tool itself, static.
{
  lib,
  dockerTools,
  busybox,
  cacert,
  tool,
  prometheus,
  prometheus-alertmanager,
  grafana,
  prometheus-blackbox-exporter,
  vector,
  grafana-loki,
}:
let
  image =
    {
      name,
      package,
      user,
      data,
      contents ? [ package ],
      entrypoint,
      port,
      extra ? "",
      environment ? [ ],
      # The image's own configuration beyond what all have.
      more ? { },
    }:
    dockerTools.buildLayeredImage {
      name = "aiclipx-${name}";
      tag = package.version;
      inherit contents;
      created = "1970-01-01T00:00:01Z";
      # A named volume takes owner and mode from the folder it first covers.
      fakeRootCommands = ''
        mkdir -p .${data} ./tmp
        chown ${user} .${data}
        chmod 1777 ./tmp
        ${extra}
      '';
      config = {
        Entrypoint = entrypoint;
        User = user;
        WorkingDir = data;
        Env = environment;
        ExposedPorts.${port} = { };
        Labels = {
          "org.opencontainers.image.title" = "aiclipx-${name}";
          "org.opencontainers.image.version" = package.version;
          "org.opencontainers.image.licenses" =
            (lib.head (lib.toList package.meta.license)).spdxId or "unknown";
        };
      }
      // more;
    };
in
{
  image-receiver = image {
    name = "receiver";
    package = tool;
    user = "65532:65532";
    data = "/data";
    entrypoint = [
      "/bin/aiclipx"
      "receiver"
    ];
    port = "9095/tcp";
    # As the Containerfile has it; durations are nanoseconds.
    more.Healthcheck = {
      Test = [
        "CMD"
        "/bin/aiclipx"
        "receiver"
        "--listen"
        "127.0.0.1:9095"
        "--check"
      ];
      Interval = 10000000000;
      Timeout = 3000000000;
      StartPeriod = 2000000000;
      Retries = 3;
    };
  };
  image-prometheus = image {
    name = "prometheus";
    package = prometheus;
    # promtool, which asks for the health of it, is an output of its own.
    contents = [
      prometheus
      prometheus.cli
    ];
    user = "65534:65534";
    data = "/prometheus";
    entrypoint = [ "/bin/prometheus" ];
    port = "9090/tcp";
  };
  image-alertmanager = image {
    name = "alertmanager";
    package = prometheus-alertmanager;
    user = "65534:65534";
    data = "/alertmanager";
    entrypoint = [ "/bin/alertmanager" ];
    port = "9093/tcp";
  };
  image-grafana = image {
    name = "grafana";
    package = grafana;
    # busybox: the wget that asks for the health, as the upstream image has it.
    contents = [
      grafana
      busybox
      cacert
    ];
    user = "472:0";
    data = "/var/lib/grafana";
    entrypoint = [
      "/bin/grafana"
      "server"
    ];
    port = "3000/tcp";
    environment = [ "PATH=/bin" ];
    extra = ''
      mkdir -p ./usr/share
      ln -s ${grafana}/share/grafana ./usr/share/grafana
    '';
  };
  image-probe = image {
    name = "probe";
    package = prometheus-blackbox-exporter;
    user = "65534:65534";
    # It keeps nothing.
    data = "/home";
    entrypoint = [ "/bin/blackbox_exporter" ];
    port = "9115/tcp";
  };
  image-vector = image {
    name = "vector";
    package = vector;
    # It reads files that are root's; compose.yaml takes every power of root's from it.
    user = "0:0";
    data = "/var/lib/vector";
    entrypoint = [ "/bin/vector" ];
    port = "9598/tcp";
  };
  image-loki = image {
    name = "loki";
    package = grafana-loki;
    user = "10001:10001";
    data = "/loki";
    entrypoint = [ "/bin/loki" ];
    port = "3100/tcp";
  };
}
