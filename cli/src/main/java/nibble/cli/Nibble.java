package nibble.cli;

import picocli.CommandLine;

/** Entry point of the {@code nibble} command. */
public final class Nibble {
    private Nibble() {}

    public static void main(String[] arguments) {
        StandardError.takeBack();
        Terminal terminal = Terminal.system();
        Interruption.watch(terminal);
        int code = run(terminal, arguments);
        Interruption.commandFinished();
        // Worker threads are daemons, but a native library's may not be.
        System.exit(code);
    }

    /** Runs one command line and returns its exit code; never ends the process. */
    static int run(Terminal terminal, String... arguments) {
        CommandLine line = new CommandLine(new NibbleCommand(), new CommandFactory(terminal))
                .setOut(terminal.out())
                .setErr(terminal.err())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .registerConverter(ModelArgument.class, ModelArgument::new)
                .setExecutionExceptionHandler(new ErrorReporter());
        try {
            return line.execute(arguments);
        } catch (OutOfMemoryError e) {
            terminal.note("nibble: out of memory: " + e.getMessage() + "; the Java heap holds "
                    + Figures.bytes(Runtime.getRuntime().maxMemory())
                    + ", NIBBLE_JAVA_OPTS=-Xmx8g gives it 8 GB. 'nibble plan MODEL' says what a quantization needs.");
            return ExitCode.DEVICE_OR_MEMORY;
        }
    }
}
