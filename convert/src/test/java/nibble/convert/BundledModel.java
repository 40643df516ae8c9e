package nibble.convert;

import java.nio.file.Path;

/** The model that comes with Nibble. */
public final class BundledModel {
    public static final Path FOLDER = Path.of(System.getProperty("nibble.root", ".."))
            .toAbsolutePath()
            .normalize()
            .resolve("models/wiki-7m");

    private BundledModel() {}
}
