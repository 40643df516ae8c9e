package nibble.cli.cluster;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.Serializable;
import java.io.StringReader;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.calibrate.job.UnusualErrorException;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.cli.command.QuantizeCommand;
import nibble.cli.option.InputException;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Terminal;
import nibble.cluster.quantize.TaskFolder;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.TaskPlace;
import nibble.datasets.BadDatasetException;
import picocli.CommandLine;

/**
 * A model to quantize, as {@code nibble quantize MODEL OUT OPTIONS…} does it.
 *
 * @param options of that command
 */
record QuantizeRow(String model, String out, List<String> options) implements Serializable {
    /** Options of the command that say nothing of how a folder is made. */
    private static final List<String> UNFIT = List.of("--resume", "--json", "--help", "-h", "--version", "-V");

    QuantizeRow {
        options = options == null ? List.of() : List.copyOf(options);
    }

    /**
     * Checks the options before any work.
     *
     * @throws UsageException if the command would reject them
     */
    void check(int number) {
        for (String option : UNFIT) {
            if (options.stream().anyMatch(given -> given.equals(option) || given.startsWith(option + "="))) {
                throw new UsageException("row " + number + " (" + out + "): " + option
                        + " is not for rows, whose attempts all begin anew; leave it out");
            }
        }
        try {
            parse(silent(new StringWriter()), Path.of(out), List.of());
        } catch (CommandLine.ParameterException e) {
            throw new UsageException("row " + number + " (" + out + "): " + e.getMessage());
        }
    }

    private static Terminal silent(StringWriter text) {
        PrintWriter writer = new PrintWriter(text);
        return new Terminal(writer, writer, false, new BufferedReader(new StringReader("")), System.getenv());
    }

    private QuantizeCommand parse(Terminal terminal, Path to, List<String> more) {
        QuantizeCommand command = new QuantizeCommand(terminal);
        List<String> all = new ArrayList<>(List.of(model, to.toString()));
        all.addAll(options);
        all.addAll(more);
        new CommandLine(command)
                .setCaseInsensitiveEnumValuesAllowed(true)
                // A row's text never names a file of further arguments.
                .setExpandAtFiles(false)
                .registerConverter(ModelArgument.class, ModelArgument::new)
                .parseArgs(all.toArray(String[]::new));
        return command;
    }

    /**
     * Says how a row ended.
     *
     * @param failed for a reason that another attempt would meet too
     */
    record Ended(boolean failed, String said) implements Serializable {}

    /** Makes a row's folder under a name of the task's own, which then takes the row's. */
    record Task(String device) implements ClusterTask<QuantizeRow, Ended> {
        @Override
        public Ended run(QuantizeRow row, TaskPlace place) {
            Path out = Path.of(row.out());
            if (Files.exists(out)) {
                return new Ended(false, "was there already");
            }
            List<String> more = new ArrayList<>();
            if (!row.options().contains("--device")) {
                more.addAll(List.of("--device", place.device(device)));
            }
            if (!row.options().contains("--threads")) {
                more.addAll(List.of("--threads", Integer.toString(place.threads())));
            }
            StringWriter said = new StringWriter();
            try (TaskFolder folder = TaskFolder.of(out, place.attempt())) {
                row.parse(silent(said), folder.path(), more).call();
                folder.commit();
            } catch (UsageException
                    | InputException
                    | BadCheckpointException
                    | BadDatasetException
                    | UnusualErrorException e) {
                return new Ended(true, String.valueOf(e.getMessage()));
            } catch (IOException e) {
                throw new UncheckedIOException(out + ": cannot be given its name", e);
            }
            return new Ended(
                    false,
                    said.toString()
                            .lines()
                            .filter(line -> line.startsWith("warning"))
                            .reduce("done", (a, b) -> a + "; " + b));
        }
    }
}
