# The service as a NixOS service, at production speed, with faults off. systemd keeps from it all it doesn't need: it is one
# static process that listens on one port, writes to stdout and reads no file.
package:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.aiclipx;
in
{
  options.services.aiclipx = {
    enable = lib.mkEnableOption "aiclipx-app, the monitored service";
    package = lib.mkOption {
      type = lib.types.package;
      default = package pkgs.stdenv.hostPlatform.system;
      defaultText = lib.literalExpression "the flake's `app`";
      description = "The package that brings `bin/aiclipx-app`.";
    };
    address = lib.mkOption {
      type = lib.types.str;
      default = "127.0.0.1";
      description = "Where it listens. An IPv6 address stands in brackets.";
    };
    port = lib.mkOption {
      type = lib.types.port;
      default = 8080;
      description = "The port it listens on; an unprivileged one.";
    };
    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether others may reach the port.";
    };
    settings = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      example = {
        APP_LOG = "debug";
        APP_DRAIN_DELAY = "5s";
      };
      description = "Further settings, by the names `aiclipx-app --help` lists. No secret among them.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.port >= 1024;
        message = "services.aiclipx.port: ${toString cfg.port} takes a privilege that it does without: put a proxy before it";
      }
      {
        assertion = !(cfg.settings ? APP_LISTEN);
        message = "services.aiclipx.settings.APP_LISTEN: say it with services.aiclipx.address and port";
      }
    ];
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];
    systemd.services.aiclipx = {
      description = "aiclipx-app";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      environment = {
        APP_LISTEN = "${cfg.address}:${toString cfg.port}";
      }
      // cfg.settings;
      serviceConfig = {
        ExecStart = lib.getExe' cfg.package "aiclipx-app";
        Restart = "on-failure";
        RestartSec = 1;
        # Its drain delay and its deadline, and some more.
        TimeoutStopSec = 60;
        KillSignal = "SIGTERM";
        # Told to stop twice it ends at once, in order.
        SuccessExitStatus = 130;

        DynamicUser = true;
        AmbientCapabilities = "";
        CapabilityBoundingSet = "";
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        PrivateUsers = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        # Its own use of memory and processor it reads in /proc (and the boot time, so not ProcSubset); of others nothing.
        ProtectProc = "invisible";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        RemoveIPC = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
        ];
        SystemCallErrorNumber = "EPERM";
        UMask = "0077";
        MemoryMax = "64M";
        TasksMax = 64;
        LimitNOFILE = 4096;
      };
    };
  };
}
