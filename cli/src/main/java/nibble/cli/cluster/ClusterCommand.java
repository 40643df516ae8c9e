package nibble.cli.cluster;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "cluster",
        description = "Has the executors of an Apache Spark cluster do the work, with the same results.",
        mixinStandardHelpOptions = true,
        subcommands = {
            ClusterEvalCommand.class,
            ClusterQuantizeCommand.class,
            ClusterQuantizeModelCommand.class,
            ClusterConvertCommand.class
        })
public final class ClusterCommand implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a subcommand is missing; see 'nibble cluster --help'");
    }
}
