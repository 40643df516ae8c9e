package nibble.engine.cuda.driver;

import static jcuda.driver.JCudaDriver.cuMemcpyDtoH;
import static jcuda.driver.JCudaDriver.cuModuleGetFunction;
import static jcuda.driver.JCudaDriver.cuModuleGetGlobal;
import static jcuda.driver.JCudaDriver.cuModuleLoadData;
import static jcuda.driver.JCudaDriver.cuModuleUnload;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUmodule;
import nibble.files.digest.Sha256;
import org.jspecify.annotations.Nullable;

/**
 * Compiles the kernels of the {@code .cu} resources for one card on first use. Machine code is cached in {@code
 * $NIBBLE_CACHE/kernels}, else {@code ~/.cache/nibble/kernels}, under a hash of source, headers and options. Owns its
 * modules.
 */
public final class KernelCache implements AutoCloseable {
    /** Headers that kernels may include. */
    public static final List<String> HEADERS = List.of(
            "arranged.cuh",
            "cache_codes.cuh",
            "code_attention.cuh",
            "common.cuh",
            "block_units.cuh",
            "blocks.cuh",
            "attention_tile.cuh",
            "batch_linear.cuh",
            "batch_mma.cuh",
            "batch_sums.cuh",
            "batch_wgmma.cuh",
            "attention_mma.cuh",
            "attention_wgmma.cuh",
            "decode_attention.cuh",
            "decode_experts.cuh",
            "decode_heads.cuh",
            "decode_linear.cuh",
            "decode_phases.cuh",
            "decode_products.cuh",
            "linear_parts.cuh",
            "linear_units.cuh",
            "ring.cuh",
            "round.cuh",
            "w4.cuh",
            "wgmma.cuh");

    /** Most files that compile at a time: each takes a core and some hundred megabytes. */
    private static final int MOST_COMPILERS = 8;

    /**
     * Names machine code: a resource with preprocessor constants.
     *
     * @param file as {@code attention.cu}
     * @param constants as HEAD_DIM=128
     */
    public record Code(String file, Map<String, Integer> constants) {
        private String key() {
            return file + new TreeMap<>(constants);
        }
    }

    private final String architecture;
    private final KernelLaunch launch;
    /** What compiles ahead of its use, or has done so. */
    private final Map<String, Future<byte[]>> ahead = new HashMap<>();

    private final ThreadPoolExecutor compilers = compilers();
    /** NVRTC must not compile while the process ends: its own end takes from under it what it uses. */
    private final Thread atExit = new Thread(this::stopCompilers, "nibble-nvrtc-stop");

    private final Map<String, CUmodule> modules = new HashMap<>();
    private final Map<String, Kernel> kernels = new HashMap<>();
    /** Constants of modules, which are read once: reading waits for the card. */
    private final Map<String, byte[]> exports = new HashMap<>();

    private @Nullable Nvrtc compiler;

    public KernelCache(CudaDevice device) {
        this.architecture = device.architecture();
        this.launch = new KernelLaunch();
        Runtime.getRuntime().addShutdownHook(atExit);
    }

    private static ThreadPoolExecutor compilers() {
        int threads = Math.clamp(Runtime.getRuntime().availableProcessors(), 1, MOST_COMPILERS);
        ThreadPoolExecutor pool = new ThreadPoolExecutor(
                threads,
                threads,
                5,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                Thread.ofPlatform().daemon().name("nibble-nvrtc-", 0).factory());
        pool.allowCoreThreadTimeOut(true);
        return pool;
    }

    /**
     * Compiles code side by side, ahead of its use, and returns at once. What is loaded or under way is left out. A
     * failure is that of the first use.
     */
    public synchronized void prepare(Collection<Code> codes) {
        for (Code code : codes) {
            if (!modules.containsKey(code.key())) {
                ahead.computeIfAbsent(
                        code.key(), _ -> compilers.submit(() -> machineCode(code.file(), options(code.constants()))));
            }
        }
    }

    /**
     * Returns a kernel of a resource.
     *
     * @param file as {@code attention.cu}
     * @param name its {@code extern "C"} name
     * @param constants preprocessor constants, as HEAD_DIM=128
     * @throws nibble.engine.backend.DeviceException if it does not compile
     */
    public synchronized Kernel kernel(String file, String name, Map<String, Integer> constants) {
        return kernels.computeIfAbsent(new Code(file, constants).key() + name, _ -> {
            Kernel.Function function = new Kernel.Function();
            CudaDevice.check(
                    cuModuleGetFunction(function, module(file, constants), name), "kernel " + name + " of " + file);
            return new Kernel(name, function, launch);
        });
    }

    /** Returns an array of ints that a resource defines beside its kernels, to say how they are launched. */
    public synchronized int[] integers(String file, String name, Map<String, Integer> constants) {
        byte[] bytes = exported(file, name, constants);
        int[] values = new int[bytes.length / Integer.BYTES];
        ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).asIntBuffer().get(values);
        return values;
    }

    /** Returns the struct that a kernel takes, by the fields that its resource exports, with no value set yet. */
    public synchronized KernelStruct struct(String file, String name, Map<String, Integer> constants) {
        return new KernelStruct(name + " of " + file, exported(file, name, constants));
    }

    private byte[] exported(String file, String name, Map<String, Integer> constants) {
        return exports.computeIfAbsent(
                new Code(file, constants).key() + name, _ -> readExported(file, name, constants));
    }

    private byte[] readExported(String file, String name, Map<String, Integer> constants) {
        CUdeviceptr address = new CUdeviceptr();
        long[] length = new long[1];
        CudaDevice.check(cuModuleGetGlobal(address, length, module(file, constants), name), name + " of " + file);
        byte[] bytes = new byte[Math.toIntExact(length[0])];
        CudaDevice.check(cuMemcpyDtoH(Pointer.to(bytes), address, bytes.length), "reading " + name + " of " + file);
        return bytes;
    }

    private CUmodule module(String file, Map<String, Integer> constants) {
        String key = new Code(file, constants).key();
        return modules.computeIfAbsent(key, _ -> load(file, options(constants), ahead.remove(key)));
    }

    private List<String> options(Map<String, Integer> constants) {
        List<String> options = new ArrayList<>(List.of("-arch=" + architecture, "-std=c++17", "-default-device"));
        new TreeMap<>(constants).forEach((constant, value) -> options.add("-D" + constant + "=" + value));
        return options;
    }

    private CUmodule load(String file, List<String> options, @Nullable Future<byte[]> early) {
        CUmodule module = new CUmodule();
        byte[] code = early == null ? machineCode(file, options) : done(early);
        if (cuModuleLoadData(module, code) == 0) {
            return module;
        }
        // A damaged file of the cache, if it is not the code: compiled once more.
        CudaDevice.check(cuModuleLoadData(module, compile(file, options)), "loading " + file);
        return module;
    }

    private static byte[] done(Future<byte[]> code) {
        try {
            return code.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while kernels compile", e);
        } catch (ExecutionException e) {
            throw ForeignFunctions.unexpected(e.getCause() == null ? e : e.getCause());
        }
    }

    /** From the cache, or compiled; safe for use by several threads. */
    private byte[] machineCode(String file, List<String> options) {
        byte[] kept = read(cached(file, options));
        return kept == null ? compile(file, options) : kept;
    }

    private byte[] compile(String file, List<String> options) {
        byte[] cubin = compiler().compile(file, resource(file), headers(), options);
        keep(cached(file, options), cubin);
        return cubin;
    }

    private static Path cached(String file, List<String> options) {
        return folder().resolve(hash(resource(file), headers(), options) + ".cubin");
    }

    private static Map<String, String> headers() {
        Map<String, String> headers = new TreeMap<>();
        for (String header : HEADERS) {
            headers.put(header, resource(header));
        }
        return headers;
    }

    private Nvrtc compiler() {
        synchronized (compilers) {
            if (compiler == null) {
                compiler = Nvrtc.load();
            }
            return compiler;
        }
    }

    public static String resource(String name) {
        try (InputStream in = KernelCache.class.getResourceAsStream("/nibble/engine/cuda/" + name)) {
            if (in == null) {
                throw new IllegalStateException("resource " + name + " is missing from this build");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException("reading " + name, e);
        }
    }

    private static String hash(String source, Map<String, String> headers, List<String> options) {
        Sha256 sha256 = new Sha256();
        for (String part : List.of(source, headers.toString(), options.toString())) {
            sha256.add(part).add(new byte[1]);
        }
        return sha256.hex();
    }

    private static Path folder() {
        String configured = System.getenv("NIBBLE_CACHE");
        return configured != null && !configured.isBlank()
                ? Path.of(configured, "kernels")
                : Path.of(System.getProperty("user.home", "."), ".cache", "nibble", "kernels");
    }

    private static byte @Nullable [] read(Path cached) {
        try {
            return Files.isRegularFile(cached) ? Files.readAllBytes(cached) : null;
        } catch (IOException e) {
            // A cache that cannot be read is no reason to stop: the kernel is compiled again.
            return null;
        }
    }

    private static void keep(Path cached, byte[] cubin) {
        try {
            Files.createDirectories(cached.getParent());
            Path partial = Files.createTempFile(cached.getParent(), ".kernel", ".partial");
            Files.write(partial, cubin);
            Files.move(partial, cached, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            // Nor is one that cannot be written.
        }
    }

    /** Drops what waits, and waits for what compiles: a few seconds at most. */
    private void stopCompilers() {
        compilers.getQueue().clear();
        compilers.shutdown();
        try {
            compilers.awaitTermination(1, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        stopCompilers();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            // The process ends already.
        }
        modules.values().forEach(module -> CudaDevice.check(cuModuleUnload(module), "unloading kernels"));
        modules.clear();
        kernels.clear();
        launch.close();
    }
}
