package nibble.files;

/** Returns the version of this program, as the build file states it. */
public final class Version {
    public static final String NIBBLE = "0.1.0";

    private Version() {}
}
