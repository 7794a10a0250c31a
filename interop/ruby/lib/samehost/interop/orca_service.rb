# frozen_string_literal: true

require 'samehost/interop/load_reports'
require 'samehost/interop/orca_service_services_pb'

module Samehost
  module Interop
    # Sends load reports out of band (ORCA, gRFC A51).
    class OrcaService < Xds::Service::Orca::V3::OpenRcaService::Service
      # The least time between two reports. gRFC A51 requires 30 s for production and allows less for tests. 0.1 s makes
      # the case fast, and ten small messages a second are cheap.
      MIN_INTERVAL_SECONDS = 0.1

      def initialize(reports)
        super()
        @reports = reports
      end

      # Sends the report at once and then in each interval. Ends when a send fails.
      def stream_core_metrics(request, call)
        return enum_for(:stream_core_metrics, request, call) unless block_given?

        loop do
          yield @reports.current
          sleep(interval(request))
        end
      end

      private

      def interval(request)
        requested = request.report_interval
        [requested ? requested.seconds + (requested.nanos / 1e9) : 0, MIN_INTERVAL_SECONDS].max
      end
    end
  end
end
