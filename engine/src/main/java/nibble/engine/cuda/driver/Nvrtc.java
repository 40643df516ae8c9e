package nibble.engine.cuda.driver;

import static nibble.engine.cuda.driver.ForeignFunctions.INT;
import static nibble.engine.cuda.driver.ForeignFunctions.LONG;
import static nibble.engine.cuda.driver.ForeignFunctions.POINTER;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import nibble.engine.backend.DeviceException;

/** NVIDIA's run-time compiler: CUDA C++ to machine code of one architecture. */
final class Nvrtc {
    private final MethodHandle version;
    private final MethodHandle create;
    private final MethodHandle compile;
    private final MethodHandle cubinSize;
    private final MethodHandle cubin;
    private final MethodHandle logSize;
    private final MethodHandle log;
    private final MethodHandle destroy;
    private final MethodHandle errorString;

    private Nvrtc(ForeignFunctions nvrtc) {
        version = nvrtc.function("nvrtcVersion", POINTER, POINTER);
        create = nvrtc.function("nvrtcCreateProgram", POINTER, POINTER, POINTER, INT, POINTER, POINTER);
        compile = nvrtc.function("nvrtcCompileProgram", LONG, INT, POINTER);
        cubinSize = nvrtc.function("nvrtcGetCUBINSize", LONG, POINTER);
        cubin = nvrtc.function("nvrtcGetCUBIN", LONG, POINTER);
        logSize = nvrtc.function("nvrtcGetProgramLogSize", LONG, POINTER);
        log = nvrtc.function("nvrtcGetProgramLog", LONG, POINTER);
        destroy = nvrtc.function("nvrtcDestroyProgram", POINTER);
        errorString = nvrtc.function("nvrtcGetErrorString", FunctionDescriptor.of(POINTER, INT));
    }

    /** @throws DeviceException if the library is not there */
    static Nvrtc load() {
        return new Nvrtc(new ForeignFunctions("libnvrtc", CudaLibraries.load("nvrtc", List.of("nvrtc-builtins"))));
    }

    /** As {@code 13.0}. */
    String version() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment numbers = arena.allocate(INT, 2);
            check("version", (int) version.invokeExact(numbers, numbers.asSlice(4)));
            return numbers.getAtIndex(INT, 0) + "." + numbers.getAtIndex(INT, 1);
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
    }

    /**
     * Compiles one file.
     *
     * @param headers name, as in an include, to text
     * @param options one each, as {@code -arch=sm_90a}
     * @return a cubin
     * @throws DeviceException with the compiler's messages
     */
    byte[] compile(String fileName, String source, Map<String, String> headers, List<String> options) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment program = arena.allocate(LONG);
            MemorySegment names = arena.allocate(POINTER, Math.max(1, headers.size()));
            MemorySegment texts = arena.allocate(POINTER, Math.max(1, headers.size()));
            int h = 0;
            for (Map.Entry<String, String> header : headers.entrySet()) {
                names.setAtIndex(ValueLayout.ADDRESS, h, arena.allocateFrom(header.getKey()));
                texts.setAtIndex(ValueLayout.ADDRESS, h, arena.allocateFrom(header.getValue()));
                h++;
            }
            check("creating a program", (int) create.invokeExact(
                    program, arena.allocateFrom(source), arena.allocateFrom(fileName), h, texts, names));
            long handle = program.get(LONG, 0);
            try {
                MemorySegment flags = arena.allocate(POINTER, options.size());
                for (int i = 0; i < options.size(); i++) {
                    flags.setAtIndex(ValueLayout.ADDRESS, i, arena.allocateFrom(options.get(i)));
                }
                int status = (int) compile.invokeExact(handle, options.size(), flags);
                if (status != 0) {
                    throw new DeviceException("compiling " + fileName + " " + options + " failed (" + message(status)
                            + "):\n" + log(arena, handle));
                }
                MemorySegment size = arena.allocate(LONG);
                check("size of " + fileName, (int) cubinSize.invokeExact(handle, size));
                MemorySegment code = arena.allocate(size.get(LONG, 0));
                check("code of " + fileName, (int) cubin.invokeExact(handle, code));
                return code.toArray(ValueLayout.JAVA_BYTE);
            } finally {
                check("destroying a program", (int) destroy.invokeExact(program));
            }
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
    }

    private String log(Arena arena, long program) throws Throwable {
        MemorySegment size = arena.allocate(LONG);
        check("size of the log", (int) logSize.invokeExact(program, size));
        MemorySegment text = arena.allocate(Math.max(1, size.get(LONG, 0)));
        check("log", (int) log.invokeExact(program, text));
        return text.getString(0, StandardCharsets.UTF_8);
    }

    private void check(String what, int status) {
        if (status != 0) {
            throw new DeviceException("NVRTC, " + what + ": " + message(status));
        }
    }

    private String message(int status) {
        try {
            MemorySegment text = (MemorySegment) errorString.invokeExact(status);
            return text.reinterpret(256).getString(0);
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
    }
}
