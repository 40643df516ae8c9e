package nibble.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Finds side files in another folder: under the same name, those of a folder within under that folder. */
public final class SideFiles {
    private SideFiles() {}

    /** Returns its name in the checkpoint, with forward slashes. */
    public static String name(Path folder, Path side) {
        Path parent = side.getParent();
        String name = String.valueOf(side.getFileName());
        return parent == null || parent.equals(folder) ? name : parent.getFileName() + "/" + name;
    }

    /** Copies a side file into a folder that may be missing yet; one of an earlier run is replaced. */
    public static void copy(Path side, Path to) throws IOException {
        Path parent = to.getParent();
        if (parent != null) {
            Files.createDirectories(parent);
        }
        Files.copy(side, to, StandardCopyOption.REPLACE_EXISTING);
    }
}
