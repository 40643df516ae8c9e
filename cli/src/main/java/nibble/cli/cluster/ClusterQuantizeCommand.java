package nibble.cli.cluster;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import nibble.cli.option.InputFile;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.StopOnSignal;
import nibble.cli.terminal.Terminal;
import nibble.cluster.quantize.TaskFolder;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterException;
import nibble.files.Reasons;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "quantize",
        description =
                "Quantizes many models, or one in many ways, a row of JOBS.json each: [{\"model\": \"M\", \"out\":"
                        + " \"O\", \"options\": [\"--method\", \"awq\"]}, …]. A row does what 'nibble quantize M O"
                        + " OPTIONS…' does. Rows whose folder is there already are left out.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class ClusterQuantizeCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "JOBS.json", description = "The rows. Paths are the same on every host.")
    @SuppressWarnings("NullAway.Init")
    private Path jobs;

    @Mixin
    private ExecutorOptions executors = new ExecutorOptions();

    @Mixin
    private ClusterOptions options = new ClusterOptions();

    ClusterQuantizeCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        InputFile.require("", jobs);
        List<QuantizeRow> rows = QuantizeRows.read(jobs);
        options.check(terminal);
        try (StopOnSignal stop = new StopOnSignal(terminal);
                Cluster cluster = options.open(stop.signal())) {
            int[] failed = {0};
            cluster.run("rows of " + jobs, rows, new QuantizeRow.Task(executors.device()), (index, ended) -> {
                failed[0] += ended.failed() ? 1 : 0;
                terminal.out()
                        .println(rows.get(index).out() + ": " + (ended.failed() ? "failed: " : "") + ended.said());
                terminal.out().flush();
            });
            sweep(rows);
            if (failed[0] > 0) {
                throw new ClusterException(jobs + ": " + failed[0] + " of " + rows.size()
                        + " rows failed; mend them and give the command again, which leaves out those that are done");
            }
        }
        return ExitCode.DONE;
    }

    private void sweep(List<QuantizeRow> rows) {
        for (QuantizeRow row : rows) {
            try {
                TaskFolder.sweep(Path.of(row.out()));
            } catch (IOException e) {
                terminal.note("warning: what a lost task left beside " + row.out() + " could not be deleted: "
                        + Reasons.of(e));
            }
        }
    }
}
