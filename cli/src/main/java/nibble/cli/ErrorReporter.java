package nibble.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import nibble.calibrate.job.UnusualErrorException;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.cli.option.InputException;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Interruption;
import nibble.cli.terminal.Terminal;
import nibble.cluster.spark.ClusterException;
import nibble.datasets.BadDatasetException;
import nibble.engine.NonFiniteLogitException;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.MissingRowException;
import nibble.eval.NonFiniteLogProbabilityException;
import nibble.eval.judge.JudgeException;
import nibble.files.Reasons;
import nibble.files.output.OutputException;
import nibble.files.output.ResumeException;
import nibble.files.output.StoppedException;
import nibble.hub.client.HubException;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.ParseResult;

/**
 * Turns whatever a command threw, expected or not, into one message on standard error and the exit code of its kind. A
 * stack trace is for those who ask for it.
 */
final class ErrorReporter implements IExecutionExceptionHandler {
    /** Set to see where an error came from. */
    static final String STACK_TRACES = "NIBBLE_DEBUG";

    private final Terminal terminal;

    ErrorReporter(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public int handleExecutionException(Exception e, CommandLine line, ParseResult parsed) {
        return report(e);
    }

    /** Says what was thrown, unless the process is ending anyway, and returns the exit code. */
    int report(Throwable thrown) {
        if (Interruption.underway()) {
            // Files vanish under a command while the JVM ends; that is no news.
            return ExitCode.INTERRUPTED;
        }
        Throwable meant = meant(thrown);
        terminal.note("nibble: " + message(meant));
        if (terminal.environment().get(STACK_TRACES) != null) {
            thrown.printStackTrace(terminal.err());
            terminal.err().flush();
        }
        return exitCode(meant);
    }

    /** What a wrapper without words of its own wraps; shortage of memory comes first, whoever wrapped it. */
    private static Throwable meant(Throwable thrown) {
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (cause instanceof OutOfMemoryError) {
                return cause;
            }
        }
        Throwable meant = thrown;
        while (isWrapper(meant) && meant.getCause() != null) {
            meant = meant.getCause();
        }
        return meant;
    }

    private static boolean isWrapper(Throwable thrown) {
        boolean wraps = thrown instanceof ExecutionException
                || thrown instanceof CompletionException
                || thrown instanceof UncheckedIOException
                || thrown instanceof ExceptionInInitializerError
                || thrown.getClass() == RuntimeException.class
                || thrown.getClass() == IllegalStateException.class
                || thrown.getClass() == Error.class;
        Throwable cause = thrown.getCause();
        return wraps
                && cause != null
                && (thrown.getMessage() == null || thrown.getMessage().equals(cause.toString()));
    }

    private static int exitCode(Throwable thrown) {
        return switch (thrown) {
            case UsageException _ -> ExitCode.WRONG_USAGE;
            case BadCheckpointException _, BadDatasetException _, InputException _, OutputException _ ->
                ExitCode.BAD_INPUT;
            case NonFiniteLogProbabilityException _, NonFiniteLogitException _, MissingRowException _ ->
                ExitCode.BAD_INPUT;
            case UncheckedIOException _, IOException _ -> ExitCode.BAD_INPUT;
            case HubException _, JudgeException _ -> ExitCode.NETWORK_OR_HUB;
            case ResumeException _, UnusualErrorException _, ClusterException _ -> ExitCode.BAD_INPUT;
            case StoppedException _ -> Interruption.exitCode();
            case DeviceException _, OutOfMemoryError _ -> ExitCode.DEVICE_OR_MEMORY;
            case InternalError e when isLostFile(e) -> ExitCode.BAD_INPUT;
            default -> ExitCode.DEFECT;
        };
    }

    private static String message(Throwable thrown) {
        return switch (thrown) {
            case FileSystemException e -> Reasons.withFile(e) + "; check the disk and the folder's permissions";
            case UncheckedIOException e -> Reasons.cleaned(e.getMessage());
            case IOException e -> Reasons.of(e);
            case OutOfMemoryError e -> outOfMemory(e);
            case InternalError e
            when isLostFile(e) ->
                "a file that the command was reading was cut short, or its disk failed; run it again with files that"
                        + " nothing changes meanwhile";
            default ->
                exitCode(thrown) != ExitCode.DEFECT && thrown.getMessage() != null
                        ? thrown.getMessage()
                        : "a defect of Nibble stopped the command: " + Reasons.of(thrown)
                                + ". Please report it: run the same" + " command with " + STACK_TRACES
                                + "=1, which adds where it happened";
        };
    }

    /** Whether Java or a native kernel read a page of a mapped file that the system could not bring. */
    private static boolean isLostFile(InternalError e) {
        String message = String.valueOf(e.getMessage());
        return message.contains("unsafe memory access") || message.contains("mapped file");
    }

    private static String outOfMemory(OutOfMemoryError e) {
        if (String.valueOf(e.getMessage()).contains("native thread")) {
            return "the system lets this process start no more threads; raise its limit (ulimit -u, or the container's"
                    + " limit of processes), or give fewer --threads";
        }
        return Reasons.of(e) + "; the Java heap holds "
                + Figures.bytes(Runtime.getRuntime().maxMemory())
                + ", NIBBLE_JAVA_OPTS=-Xmx8g gives it 8 GB. 'nibble plan MODEL' says what a quantization needs.";
    }
}
