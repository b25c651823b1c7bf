# The OCI image of the service: the static binary and nothing else. No shell, no libc, no user database; runs as 65532 on a
# read-only root. Same inputs, same bytes: times are the epoch's, and the revision is in the configuration, not in a layer.
{
  app,
  revision,
  name ? "aiclipx-app",
  # dockerTools.buildLayeredImage: a file that can be loaded and hashed; streamLayeredImage: a script that prints it.
  build,
}:
build {
  inherit name;
  tag = app.version;
  contents = [ app ];
  created = "1970-01-01T00:00:01Z";
  config = import ./image-config.nix {
    inherit revision;
    inherit (app) version;
  };
}
