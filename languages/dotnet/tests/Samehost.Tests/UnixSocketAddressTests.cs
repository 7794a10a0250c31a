using Xunit;

namespace Samehost.Tests;

public sealed class UnixSocketAddressTests
{
    [Theory]
    [InlineData("/run/app.sock")]
    [InlineData("unix:/run/app.sock")]
    [InlineData("unix:///run/app.sock")]
    public void ParsesEveryForm(string text) =>
        Assert.Equal("unix:/run/app.sock", UnixSocketAddress.Parse(text).ToString());

    [Theory]
    [InlineData("", "empty")]
    [InlineData("unix:", "empty")]
    [InlineData("app.sock", "not absolute")]
    [InlineData("unix:app.sock", "not absolute")]
    [InlineData("unix://run/app.sock", "a host")]
    [InlineData("/run/", "names a folder")]
    [InlineData("/run/..", "names a folder")]
    [InlineData("/run/a?b.sock", "U+003F")]
    [InlineData("/run/a\nb.sock", "U+000A")]
    public void RejectsInvalidAddresses(string text, string fault) =>
        Assert.Contains(fault, Assert.Throws<FormatException>(() => UnixSocketAddress.Parse(text)).Message);

    [Fact]
    public void LimitsThePathInBytes()
    {
        var longest = "/" + new string('a', UnixSocketAddress.MaxPathBytes - 1);
        Assert.Equal(longest, UnixSocketAddress.Parse(longest).Path);
        var error = Assert.Throws<FormatException>(() => UnixSocketAddress.Parse(longest[..^1] + "é"));
        Assert.Contains("108 bytes", error.Message);
    }
}
