# `nix build .#vm-test`: boots a machine with the module (needs KVM) and looks from outside and inside: it serves, its metrics
# are readable, it has no privileges, it comes back when killed, and it drains when told to stop.
{ testers, module }:
testers.runNixOSTest {
  name = "aiclipx-module";
  nodes.machine = {
    imports = [ module ];
    services.aiclipx = {
      enable = true;
      port = 8090;
      settings.APP_DRAIN_DELAY = "1s";
    };
  };
  testScript = ''
    machine.wait_for_unit("aiclipx.service")
    machine.wait_for_open_port(8090)
    machine.succeed("curl -sSf http://127.0.0.1:8090/health/ready | grep -F '\"ready\":true'")
    machine.succeed("curl -sSf http://127.0.0.1:8081/metrics | grep '^app_ready 1'")
    pid = machine.succeed("systemctl show -p MainPID --value aiclipx").strip()
    machine.succeed(f"grep -q '^CapEff:.*0000000000000000' /proc/{pid}/status")
    machine.fail(f"test $(stat -c %u /proc/{pid}) = 0")
    machine.succeed("systemd-analyze security --threshold=20 aiclipx.service")
    machine.succeed("kill -KILL " + pid)
    machine.wait_until_succeeds("curl -sSf http://127.0.0.1:8090/health/ready", timeout=30)
    machine.succeed("systemctl stop aiclipx")
    machine.succeed("systemctl show -p Result --value aiclipx | grep -x success")
  '';
}
