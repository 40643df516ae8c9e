package nibble.cli.command;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import nibble.cli.option.ActivationOption;
import nibble.cli.option.JsonOption;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Terminal;
import nibble.engine.backend.Backend;
import nibble.engine.selftest.Check;
import nibble.engine.selftest.SelfTest;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

@Command(
        name = "selftest",
        description =
                "Compares every operation of a device with the reference, on awkward sizes. Prints one line for each.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class SelfTestCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Mixin
    private ActivationOption device = new ActivationOption();

    @Mixin
    private JsonOption json = new JsonOption();

    SelfTestCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Line(String operation, boolean passed, int cases, long values, double errorShareOfBound, String worstCase) {}

    record Result(String device, boolean passed, List<Line> checks) {}

    @Override
    public Integer call() {
        json.requireWritable();
        List<Line> lines = new ArrayList<>();
        String description;
        try (Backend backend = device.open(terminal)) {
            description = backend.description();
            SelfTest.run(backend, check -> {
                lines.add(new Line(
                        check.operation(),
                        check.passed(),
                        check.cases(),
                        check.values(),
                        check.worst(),
                        check.where()));
                print(check);
            });
        }
        boolean passed = lines.stream().allMatch(Line::passed);
        json.write(terminal, new Result(description, passed, lines));
        if (!json.toStandardOutput()) {
            terminal.out().println(passed ? "all passed" : "FAILED: this device must not be used");
            terminal.out().flush();
        }
        return passed ? ExitCode.DONE : ExitCode.DEVICE_OR_MEMORY;
    }

    private void print(Check check) {
        if (json.toStandardOutput()) {
            return;
        }
        terminal.out()
                .printf(
                        Locale.ROOT,
                        "%-7s %-28s %3d cases, %,9d values, largest error %.2f of its bound%s%n",
                        check.passed() ? "passed" : "FAILED",
                        check.operation(),
                        check.cases(),
                        check.values(),
                        check.worst(),
                        check.passed() ? "" : ": " + check.where());
        terminal.out().flush();
    }
}
