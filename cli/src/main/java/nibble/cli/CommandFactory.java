package nibble.cli;

import nibble.cli.terminal.Terminal;
import picocli.CommandLine;

/** Makes commands, handing those that take one the {@link Terminal} they write to. */
final class CommandFactory implements CommandLine.IFactory {
    private final Terminal terminal;

    CommandFactory(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public <K> K create(Class<K> type) throws Exception {
        try {
            return type.getDeclaredConstructor(Terminal.class).newInstance(terminal);
        } catch (NoSuchMethodException takesNoTerminal) {
            return CommandLine.defaultFactory().create(type);
        }
    }
}
