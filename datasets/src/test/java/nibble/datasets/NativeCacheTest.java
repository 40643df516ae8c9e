package nibble.datasets;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeCacheTest {
    @Test
    void the_environment_decides_then_the_home_folder(@TempDir Path home) {
        assertThat(NativeCache.choose(home + "/mine", "/nowhere")).isEqualTo(home.resolve("mine"));
        assertThat(NativeCache.choose(null, home.toString())).isEqualTo(home.resolve(".cache/nibble"));
        assertThat(NativeCache.choose(" ", home.toString())).isEqualTo(home.resolve(".cache/nibble"));
    }

    @Test
    void a_home_that_cannot_be_written_gives_a_temporary_folder(@TempDir Path folder) throws IOException {
        Path file = Files.createFile(folder.resolve("file"));
        Path chosen = NativeCache.choose(null, file.toString());
        assertThat(chosen).isDirectory().isNotEqualTo(file);
        Files.delete(chosen);
    }
}
