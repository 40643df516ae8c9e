package nibble.cli.command;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "bench",
        description = "Measures Nibble's speed, and writes test models for that.",
        mixinStandardHelpOptions = true,
        subcommands = {EngineBenchCommand.class, QuantizeBenchCommand.class, MakeModelCommand.class})
final class BenchCommand implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a subcommand is missing; see 'nibble bench --help'");
    }
}
