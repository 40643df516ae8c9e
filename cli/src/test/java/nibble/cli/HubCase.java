package nibble.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import nibble.hub.FakeHub;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** Commands beside a hub in this process. */
public abstract class HubCase {
    protected static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    protected Path temp;

    @SuppressWarnings("NullAway.Init")
    protected FakeHub hub;

    @BeforeEach
    void startHub() throws IOException {
        hub = new FakeHub();
    }

    @AfterEach
    void stopHub() {
        hub.close();
    }

    /** A terminal whose commands go to the hub, with an account of their own. */
    protected TerminalCapture terminal(String... more) {
        Map<String, String> environment = new HashMap<>(Map.of(
                "HF_ENDPOINT",
                hub.endpoint(),
                "HF_TOKEN",
                FakeHub.TOKEN,
                "HF_HOME",
                temp.resolve("home").toString()));
        for (int i = 0; i < more.length; i += 2) {
            environment.put(more[i], more[i + 1]);
        }
        return new TerminalCapture(environment, "");
    }
}
