package nibble.cli.cluster;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "eval",
        description = "Measures a model on a cluster.",
        mixinStandardHelpOptions = true,
        subcommands = {ClusterPerplexityCommand.class, ClusterTasksCommand.class})
final class ClusterEvalCommand implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a subcommand is missing; see 'nibble cluster eval --help'");
    }
}
