package nibble.cli.command;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "eval",
        description = "Measures a model.",
        mixinStandardHelpOptions = true,
        subcommands = {PerplexityCommand.class, TasksCommand.class, ReportCommand.class, MtBenchCommand.class})
final class EvalCommand implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a subcommand is missing; see 'nibble eval --help'");
    }
}
