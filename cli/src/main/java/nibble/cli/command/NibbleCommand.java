package nibble.cli.command;

import java.util.List;
import java.util.Optional;
import nibble.files.Version;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "nibble",
        description = "Quantizes fp16 Llama checkpoints to 4-bit AWQ and measures the quality of the result.",
        mixinStandardHelpOptions = true,
        version = "nibble " + Version.NIBBLE,
        footerHeading = "%nExit codes:%n",
        footer = {
            "  0    done",
            "  1    a defect in Nibble; NIBBLE_DEBUG=1 prints a stack trace",
            "  2    wrong usage",
            "  3    bad input: damaged file, unsupported model, output that cannot be written",
            "  4    device or memory",
            "  5    network or hub",
            "  130  stopped by Ctrl-C (SIGINT)",
            "  141  the reader of standard output closed it, as head does",
            "  143  stopped by SIGTERM"
        })
public final class NibbleCommand implements Runnable {
    /** Every command but {@code cluster}, in the order of the help. */
    public static final List<Class<?>> COMMANDS = List.of(
            QuantizeCommand.class,
            EvalCommand.class,
            GenerateCommand.class,
            ServeCommand.class,
            TokenizeCommand.class,
            InspectCommand.class,
            PlanCommand.class,
            ConvertCommand.class,
            VerifyCommand.class,
            CardCommand.class,
            PublishCommand.class,
            DownloadCommand.class,
            DemoCommand.class,
            SelfTestCommand.class,
            BenchCommand.class);

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    /** Returns the one of {@link #COMMANDS} that has this name, if any has. */
    public static Optional<Class<?>> named(String name) {
        return COMMANDS.stream()
                .filter(command -> command.getAnnotation(Command.class).name().equals(name))
                .findFirst();
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "Which command? See 'nibble --help'.");
    }
}
