package nibble.cli;

import java.lang.reflect.Constructor;
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
            Constructor<K> constructor = type.getDeclaredConstructor(Terminal.class);
            constructor.setAccessible(true); // Commands are package-private, as picocli's own factory allows.
            return constructor.newInstance(terminal);
        } catch (NoSuchMethodException takesNoTerminal) {
            return CommandLine.defaultFactory().create(type);
        }
    }
}
