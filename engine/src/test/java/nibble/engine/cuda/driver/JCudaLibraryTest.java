package nibble.engine.cuda.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class JCudaLibraryTest {
    private static Path seen = Path.of("");

    @Test
    void a_library_is_written_to_a_folder_of_its_own_which_is_gone_afterwards() {
        String usual = System.getProperty("java.io.tmpdir");

        JCudaLibrary.load(Writer.class.getName());

        assertThat(seen.getParent()).isEqualTo(Path.of(usual));
        assertThat(seen.getFileName().toString()).startsWith("nibble-jcuda-");
        assertThat(seen).doesNotExist();
        assertThat(System.getProperty("java.io.tmpdir")).isEqualTo(usual);
    }

    @Test
    void a_library_that_cannot_be_loaded_leaves_nothing_behind() {
        String usual = System.getProperty("java.io.tmpdir");

        assertThatThrownBy(() -> JCudaLibrary.load(Failing.class.getName())).isInstanceOf(LinkageError.class);

        assertThat(seen).doesNotExist();
        assertThat(System.getProperty("java.io.tmpdir")).isEqualTo(usual);
    }

    private static void write() {
        seen = Path.of(System.getProperty("java.io.tmpdir"));
        try {
            assertThat(Files.getPosixFilePermissions(seen)).hasSize(3);
            Files.writeString(seen.resolve("libJCudaDriver.so"), "a library");
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** In JCudaDriver's place, which needs a driver. */
    private static final class Writer {
        static {
            write();
        }
    }

    private static final class Failing {
        static {
            write();
            fail();
        }

        private static void fail() {
            throw new UnsatisfiedLinkError("no such symbol");
        }
    }
}
