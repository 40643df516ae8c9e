package nibble.cli;

import java.io.IOException;
import java.util.Optional;
import nibble.cli.cluster.ClusterCommand;
import nibble.cli.command.NibbleCommand;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Interruption;
import nibble.cli.terminal.StandardError;
import nibble.cli.terminal.Terminal;
import nibble.files.Reasons;
import picocli.CommandLine;

/** Runs the {@code nibble} command. */
public final class Nibble {
    /** What Java puts in the place of bytes that the locale's encoding has no character for. */
    private static final char REPLACEMENT = '\uFFFD';

    private Nibble() {}

    public static void main(String[] arguments) {
        StandardError.takeBack();
        Terminal terminal = Terminal.system();
        Interruption.watch(terminal);
        // A thread that ends by what nobody foresaw leaves others waiting for ever.
        Thread.setDefaultUncaughtExceptionHandler((_, thrown) -> {
            if (!Interruption.underway()) {
                end(new ErrorReporter(terminal).report(thrown));
            }
        });
        end(run(terminal, arguments));
    }

    private static void end(int code) {
        Interruption.commandFinished();
        // Worker threads are daemons, but a native library's may not be.
        System.exit(code);
    }

    /** Runs one command line and returns its exit code; never ends the process and throws nothing. */
    static int run(Terminal terminal, String... arguments) {
        ErrorReporter reporter = new ErrorReporter(terminal);
        int code;
        try {
            requireReadable(arguments);
            code = commandLine(terminal, arguments)
                    .setExecutionExceptionHandler(reporter)
                    .execute(arguments);
        } catch (Throwable e) {
            // Picocli hands on exceptions, not errors.
            code = reporter.report(e);
        }
        Optional<IOException> lost = terminal.lostOutput();
        if (lost.isEmpty() || code != ExitCode.DONE) {
            return code;
        }
        if (Terminal.isClosedPipe(lost.get())) {
            return ExitCode.CLOSED_PIPE;
        }
        terminal.note("nibble: standard output cannot be written: " + Reasons.of(lost.get())
                + "; its content is lost or incomplete");
        return ExitCode.BAD_INPUT;
    }

    /**
     * Returns the command line that {@link #run} runs. Picocli describes a command by reflection, and all of them take
     * longer than the rest of the start. So arguments that begin with a command's name get that command alone.
     */
    static CommandLine commandLine(Terminal terminal, String... arguments) {
        CommandFactory factory = new CommandFactory(terminal);
        CommandLine nibble = new CommandLine(new NibbleCommand(), factory);
        Optional<Class<?>> named = arguments.length == 0 ? Optional.empty() : NibbleCommand.named(arguments[0]);
        if (named.isPresent()) {
            nibble.addSubcommand(named.get());
        } else {
            NibbleCommand.COMMANDS.forEach(nibble::addSubcommand);
            // Its rows run other commands, so those do not know it.
            nibble.addSubcommand(new CommandLine(new ClusterCommand(), factory));
        }
        return nibble.setOut(terminal.out())
                .setErr(terminal.err())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .registerConverter(ModelArgument.class, ModelArgument::new);
    }

    /** Refuses text that would otherwise silently become other text. */
    private static void requireReadable(String[] arguments) {
        for (int i = 0; i < arguments.length; i++) {
            if (arguments[i].indexOf(REPLACEMENT) >= 0) {
                throw new UsageException(
                        "argument " + (i + 1) + ", \"" + arguments[i] + "\": not UTF-8, or the locale's encoding ("
                                + System.getProperty("sun.jnu.encoding")
                                + ") has no such characters; start nibble by its launcher, or set"
                                + " LC_ALL=C.UTF-8, and give file names in UTF-8");
            }
        }
    }
}
