package nibble.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import nibble.convert.BadCheckpointException;
import nibble.convert.OutputException;
import nibble.convert.ResumeException;
import nibble.convert.StoppedException;
import nibble.convert.hub.HubException;
import nibble.datasets.BadDatasetException;
import nibble.engine.DeviceException;
import nibble.engine.NonFiniteLogitException;
import nibble.eval.NonFiniteLogProbabilityException;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.ParseResult;

/** Turns what a command threw into one message on standard error and the exit code of its kind. */
final class ErrorReporter implements IExecutionExceptionHandler {
    /** Set to see where an error came from. */
    private static final String STACK_TRACES = "NIBBLE_DEBUG";

    @Override
    public int handleExecutionException(Exception e, CommandLine line, ParseResult parsed) {
        if (Interruption.underway()) {
            // Files vanish under a command while the JVM ends; that is no news.
            return ExitCode.INTERRUPTED;
        }
        int code = exitCode(e);
        line.getErr().println("nibble: " + message(e));
        if (System.getenv(STACK_TRACES) != null || code == CommandLine.ExitCode.SOFTWARE) {
            e.printStackTrace(line.getErr());
        }
        line.getErr().flush();
        return code;
    }

    private static int exitCode(Exception e) {
        return switch (e) {
            case UsageException _ -> ExitCode.WRONG_USAGE;
            case BadCheckpointException _, BadDatasetException _, InputException _, OutputException _ -> ExitCode.BAD_INPUT;
            case NonFiniteLogProbabilityException _, NonFiniteLogitException _ -> ExitCode.BAD_INPUT;
            case UncheckedIOException _, IOException _ -> ExitCode.BAD_INPUT;
            case HubException _ -> ExitCode.NETWORK_OR_HUB;
            case ResumeException _ -> ExitCode.BAD_INPUT;
            case StoppedException _ -> ExitCode.INTERRUPTED;
            case DeviceException _ -> ExitCode.DEVICE_OR_MEMORY;
            // What is left is a defect of this program: picocli's code 1, with the stack trace.
            default -> CommandLine.ExitCode.SOFTWARE;
        };
    }

    private static String message(Exception e) {
        return e.getMessage() != null ? e.getMessage() : e.toString();
    }
}
