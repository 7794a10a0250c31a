# frozen_string_literal: true

require_relative 'paths'

# Valid and invalid addresses.
class SocketAddressTest < Minitest::Test
  def test_accepts_a_path_and_both_forms_of_address
    ['/run/a.sock', 'unix:/run/a.sock', 'unix:///run/a.sock', Samehost::SocketAddress.new('/run/a.sock')].each do |each|
      address = Samehost::SocketAddress.new(each)
      assert_equal ['/run/a.sock', 'unix:/run/a.sock'], [address.path, address.to_s]
    end
  end

  def test_refuses_invalid_addresses
    ['', 'unix:', 'a.sock', 'unix:a.sock', 'unix://run/a.sock', '/run/', '/run/..', '/a%20', '/a?', '/a#', '/a,b',
     "/a\n", "/\xFF", "/#{'x' * 107}"].each do |text|
      assert_raises(Samehost::AddressError, text) { Samehost::SocketAddress.new(text) }
    end
  end

  def test_counts_a_path_in_bytes
    assert Samehost::SocketAddress.new("/#{'é' * 53}")
    assert_raises(Samehost::AddressError) { Samehost::SocketAddress.new("/#{'é' * 54}") }
  end
end
