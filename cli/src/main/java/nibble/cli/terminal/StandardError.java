package nibble.cli.terminal;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import nibble.files.Reasons;

/**
 * Takes the standard error back that the launcher kept aside. Until Nibble's own first line the JVM writes into a
 * filter, which leaves out its warning of the Vector API's module; from then on nothing stands between this process and
 * its terminal.
 */
public final class StandardError {
    /** Set by the launcher: the number of the descriptor that is the real standard error. */
    private static final String KEPT = "nibble.stderr";

    private static final int STANDARD_ERROR = 2;

    private StandardError() {}

    /**
     * Does nothing where there was no launcher, or where the system has no {@code dup2}: the filter lets all else
     * through.
     */
    public static void takeBack() {
        Integer kept = Integer.getInteger(KEPT);
        if (kept == null) {
            return;
        }
        try {
            Linker linker = Linker.nativeLinker();
            var dup2 = linker.downcallHandle(
                    linker.defaultLookup().find("dup2").orElseThrow(),
                    FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
            var close = linker.downcallHandle(
                    linker.defaultLookup().find("close").orElseThrow(),
                    FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
            if ((int) dup2.invokeExact((int) kept, STANDARD_ERROR) == STANDARD_ERROR) {
                int _ = (int) close.invokeExact((int) kept);
            }
        } catch (Throwable e) {
            System.err.println("WARNING: standard error stays behind the launcher's filter: " + Reasons.of(e));
        }
    }
}
